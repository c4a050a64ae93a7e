//! Windrose testkit.
