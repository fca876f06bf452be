//! Measures, readouts and gates on small observations with answers known from elsewhere.
