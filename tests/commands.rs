//! The program as a user starts it: commands, messages and exit codes.
