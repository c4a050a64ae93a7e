//! Windrose scheduler.
