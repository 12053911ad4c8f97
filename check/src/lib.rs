//! Owns the exhaustive exploration of the shipped session machines. It knows nothing of sockets, tasks or the judge.
