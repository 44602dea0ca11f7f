//! The mesh and the TCP transport.
