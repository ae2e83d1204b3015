//! Stdin and pipes, which may have nothing to read for a long time: whoever waits for them can still be stopped.

use std::fs::File;
use std::io;

use crate::source::{OnRead, Stream};

/// Stdin without a buffer of its own.
pub(super) fn stdin() -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    }
    #[cfg(not(unix))]
    {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A stream that tells `on_read` again and again that it is still waiting.
#[cfg(unix)]
pub(super) fn patient(file: File, on_read: &OnRead) -> Stream {
    Box::new(unix::Patient { file, on_read: on_read.clone() })
}

/// Elsewhere whoever waits waits.
#[cfg(not(unix))]
pub(super) fn patient(file: File, _: &OnRead) -> Stream {
    Box::new(file)
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, Read};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;

    use crate::source::OnRead;

    const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

    pub(super) struct Patient {
        pub(super) file: File,
        pub(super) on_read: OnRead,
    }

    impl Read for Patient {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            loop {
                let mut wanted = [PollFd::new(&self.file, PollFlags::IN)];
                match poll(&mut wanted, Some(&PATIENCE)) {
                    Ok(0) | Err(Errno::INTR) => (self.on_read)(0)?,
                    // A file that cannot be waited for can be read at once.
                    Ok(_) | Err(_) => return self.file.read(buffer),
                }
            }
        }
    }
}
