//! Windrose engine.
