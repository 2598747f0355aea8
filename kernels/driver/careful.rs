//! A batch that met a NaN is done again by the careful twin; after one, the next are begun with it.

use super::{Core, Twin};

/// Decides batch by batch whether to start with the careful twin: after a NaN the next batches probably hold more, and
/// doing each of them twice is what makes NaN-heavy input slow. Doubles its patience with every bad batch.
#[derive(Clone, Copy, Default)]
pub(crate) struct Caution {
    left: u32,
    next: u32,
}

impl Caution {
    /// Runs a batch by one of the twins, and by the careful one again where that met what it watches for.
    #[inline]
    pub(crate) fn run(&mut self, core: &Core, mut batch: impl FnMut(&Twin) -> bool) {
        let Some(careful) = &core.careful else {
            batch(&core.hot);
            return;
        };
        if self.left > 0 {
            self.left -= 1;
            batch(careful);
        } else if batch(&core.hot) {
            self.next = (self.next * 2).clamp(1, 64);
            self.left = self.next;
            batch(careful);
        } else {
            self.next = 0;
        }
    }
}
