//! The binary `platform`.
fn main() {}
