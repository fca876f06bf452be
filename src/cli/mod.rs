//! The command line: commands, printing, the environment and exit codes.
