//! What a service manager hands over and is told, by systemd's protocol: listening sockets (`LISTEN_FDS`),
//! words about how we are (`NOTIFY_SOCKET`), and a sign of life now and then (`WATCHDOG_USEC`).
//!
//! Without those variables nothing here does anything: the program runs the same by hand. It needs no part
//! of systemd, and whoever else speaks the protocol will do.

mod notify;
mod sockets;
mod watchdog;

pub use self::notify::Notify;
pub use self::sockets::{Sockets, SocketsError, serves};
pub use self::watchdog::watch;
