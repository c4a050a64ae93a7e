//! Windrose store.
