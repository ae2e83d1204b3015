//! Memory that is read and written here and there, in huge pages where the system has them. Knows nothing of what it holds.

use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Zeroed bytes from the start of a page on. The system hands out a page when it is first written.
///
/// In a hundred megabytes of pages of 4 KiB, nearly every access misses the processor's cache of page addresses as well.
#[derive(Debug)]
pub(super) struct Pages(MmapMut);

impl Pages {
    /// So many bytes. Without the memory for them the process ends, as it does for a vector.
    pub(super) fn zeroed(bytes: usize) -> Self {
        let layout = Layout::array::<u8>(bytes).expect("pages fit the address space");
        let map = MmapMut::map_anon(bytes).unwrap_or_else(|_| handle_alloc_error(layout));
        // A system without huge pages is slower and just as right.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Pages(map)
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
