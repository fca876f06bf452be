//! Suites that must be read, and those that must be refused with the place and the remedy.
