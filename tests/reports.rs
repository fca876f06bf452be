//! Every report format, from one small audit record.
