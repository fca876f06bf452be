//! Statistics: intervals, tests, corrections, resampling and ranks. Each states its source and is checked against an
//! independent implementation.
