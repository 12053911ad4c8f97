//! Owns a small server on a stack of its own and the catalogue of its faults. It knows neither `lastword-session` nor `lastword-spec`: what the
//! harness is tested with must not share its errors.
