//! Rows for trainers: in which order, from which file, in which shape.
//!
//! ```text
//! order::row_at    which row stands at a position of an epoch        a pure function
//! rows::RowSet     the rows of one build, or of several as one       where a row is
//! RowSet::fill     a batch of them, written to buffers of the caller fill.rs, columns.rs
//! ```
//!
//! Nothing here starts a thread or keeps a buffer: a process may fork at any time, and a caller who wants
//! batches ahead calls from threads of their own.

mod columns;
mod fill;
pub mod order;
mod rows;

pub use columns::{Boundaries, Column, Numbers};
pub use rows::RowSet;
