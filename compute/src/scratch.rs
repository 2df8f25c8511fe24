//! Reusable working memory of the kernels.

/// Working memory that kernels borrow for the length of one call and that its owner keeps, so that a
/// repeated call allocates nothing.
///
/// It grows to the largest demand it has met and never shrinks by itself; what it held means nothing to
/// the next call. One `Scratch` serves kernels of any element type, one call at a time.
#[derive(Default)]
pub struct Scratch {
    lines: Vec<Line>,
}

/// One cache line, which is also the alignment of every part handed out.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;

impl Scratch {
    /// Working memory that owns nothing yet.
    #[must_use]
    pub const fn new() -> Scratch {
        Scratch { lines: Vec::new() }
    }

    /// Bytes held at present.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.lines.len() * LINE
    }

    /// Gives the memory back; the next call allocates again.
    pub fn clear(&mut self) {
        self.lines = Vec::new();
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").field("capacity", &self.capacity()).finish()
    }
}
