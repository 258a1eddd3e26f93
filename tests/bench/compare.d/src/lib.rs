//! What the speed comparison's programs share: the two calls, HTTP/1.1 framing, waiting for sockets.
//!
//! The programs stand in `bin/`: `stub` is the upstream, `load` the clients, `hyper_plain` a peer,
//! `hyper_floor` what a gateway over hyper's server cannot be below.
//! None of them is a product: they speak as much HTTP as they and the peers need of each other, and
//! answer what is beyond it by closing the connection.

pub mod calls;
pub mod listener;
pub mod message;
pub mod options;
pub mod readiness;
