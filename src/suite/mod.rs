//! The suite: a YAML file read strictly, then validated, with every problem that can be reached reported at once.
