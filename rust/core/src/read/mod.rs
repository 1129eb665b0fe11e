//! **read**: a file of any size becomes batches of whole items, without loading it.
//!
//! One scan per file finds where items begin and end ([`split`]); their content is checked and parsed
//! later, by whoever takes the batch ([`parse_item`]), so that parsing runs on all threads.

mod batches;
#[cfg(test)]
pub(crate) mod fuzz;
mod item;
mod split;

pub use batches::{
    Batch, FileSummary, MAX_ITEM_BYTES, Position, RawItem, Reading, begins_as_before, read_batches,
};
pub use item::{Item, ItemProblem, parse_item};
