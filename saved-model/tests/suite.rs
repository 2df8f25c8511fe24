//! The tests of the crate in one program, which is linked once.

mod cases;
mod exporting;
mod freezing;
mod hostile;
mod loading;
mod support;
mod writing;
