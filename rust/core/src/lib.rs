//! The road of the data, from raw multilingual text to packed training rows.

pub mod encode;
