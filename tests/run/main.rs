//! `ctr run` and what goes with it, from the outside.
