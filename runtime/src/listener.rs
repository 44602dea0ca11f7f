//! Listeners: observers of all processes of a runtime.
