//! Tests of the commands, over the binary.
