//! Tasks on several threads, results in the order of the tasks. Not a pool: the threads live as long as one call.
//!
//! With T workers, worker w takes tasks w, w + T, w + 2T and so on, and the consumer asks the workers in turn. So
//! results need no numbers and no sorting, and memory is bounded by the length of the queues. Dealing tasks out in
//! advance suits tasks that cost about the same, and batches of equally many rows do.

use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// How many results a worker may have lying ready. Two let it go on while the consumer is busy with a large copy.
const READY_RESULTS: usize = 2;

/// The results, in the order of the tasks.
pub(super) struct Results<R> {
    queues: Vec<Receiver<R>>,
    turn: usize,
}

impl<R> Results<R> {
    /// The result of the next task; an error if there is none, which only a worker that died can cause before the end.
    pub(super) fn next(&mut self) -> io::Result<R> {
        let queue = &self.queues[self.turn];
        self.turn = (self.turn + 1) % self.queues.len();
        queue.recv().map_err(|_| io::Error::other("a worker thread stopped early"))
    }
}

/// Runs every task on one of `threads` threads (0: one for each core), each with a worker of its own, while `consume`
/// takes the results on the calling thread. When `consume` returns early, the workers stop; when a worker panics, so does this.
pub(super) fn in_order<T, R, W, O>(
    tasks: &[T],
    threads: usize,
    new_worker: impl Fn() -> W + Sync,
    consume: impl FnOnce(&mut Results<R>) -> O,
) -> O
where
    T: Sync,
    R: Send,
    W: FnMut(&T) -> R,
{
    let threads = match threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let threads = threads.min(tasks.len()).max(1);
    thread::scope(|scope| {
        let queues = (0..threads).map(|first| {
            let (ready, queue) = sync_channel(READY_RESULTS);
            let new_worker = &new_worker;
            scope.spawn(move || {
                let mut work = new_worker();
                for task in tasks.iter().skip(first).step_by(threads) {
                    if ready.send(work(task)).is_err() {
                        return;
                    }
                }
            });
            queue
        });
        // Dropped before the scope waits for the threads: that is what stops them after an early return.
        consume(&mut Results { queues: queues.collect(), turn: 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_the_tasks() {
        for threads in [0, 1, 2, 3, 7, 50] {
            let tasks: Vec<u32> = (0..20).collect();
            let seen = in_order(
                &tasks,
                threads,
                || |&task: &u32| task * 10,
                |results| -> io::Result<Vec<u32>> { (0..tasks.len()).map(|_| results.next()).collect() },
            );
            assert_eq!(seen.unwrap(), (0..20).map(|task| task * 10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_early_return_stops_the_workers() {
        let tasks = vec![(); 1_000_000];
        assert_eq!(in_order(&tasks, 2, || |&()| vec![0u8; 1024], |results| results.next().unwrap().len()), 1024);
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_comes_through() {
        let _ = in_order(&[0], 1, || |_: &u32| -> u32 { panic!("in a worker") }, Results::next);
    }
}
