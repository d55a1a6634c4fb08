//! The socket that connections come from: how it is opened, and how it is closed without losing one.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// A listener on `address` that can be bound again at once after a restart.
///
/// # Errors
/// If the address cannot be bound.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Lets the kernel begin no further connection, while those that it has begun can still be accepted.
///
/// Closing a listener resets what waits in its queue, and no call empties and closes it in one step: a client whose
/// connection the kernel completes in between is connected, and then reset. So the packets that ask for a connection
/// are dropped before the queue is emptied. Such a client's kernel asks again after a second, and finds nobody, or the
/// process that came after.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn begin_no_more(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};

    /// Flags of a TCP header (RFC 9293, section 3.1): where they are, and two of them.
    const FLAGS_AT: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    /// Operations of the classic packet filter, as `linux/bpf_common.h` composes them.
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;

    // A filter of a TCP socket sees packets from their TCP header on.
    let program = [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_AT),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&program)
}

/// Nothing does it here: a client that connects in the microseconds before the close may be reset.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn begin_no_more(_listener: &TcpListener) -> io::Result<()> {
    Ok(())
}
