//! Windrose web.
