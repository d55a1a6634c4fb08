//! From an address to a connection that is logged in.

use std::io;
use std::time::Duration;

use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, HandshakePacket, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::auth::Login;
use crate::packets::Packets;
use crate::stream::Stream;
use crate::tls::{Protection, encrypt};
use crate::{Address, Connection, Error, ServerError, TlsError, TlsMode};

/// Most bytes of one packet, both ways; the largest that the products allow.
const MAX_PACKET: u32 = 1 << 30;

/// What the server said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Whose it is.
    pub product: Product,
    /// Its version as it says it, such as `10.11.6-MariaDB-0+deb12u1` or `9.4.0`.
    pub version: String,
    /// The number by which `KILL` names this connection.
    pub connection: u32,
}

/// The products that speak the protocol. TiDB says it is MySQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// MySQL, and what says it is.
    MySql,
    /// MariaDB.
    MariaDb,
    /// The gateway of Vitess, with MySQL behind it.
    Vitess,
}

impl Product {
    fn of(version: &str) -> Self {
        if version.contains("MariaDB") {
            Self::MariaDb
        } else if version.contains("-Vitess") {
            Self::Vitess
        } else {
            Self::MySql
        }
    }
}

impl Server {
    /// Major, minor and patch number.
    pub fn numbers(&self) -> (u16, u16, u16) {
        // MariaDB 10 put this in front, for replicas of old.
        let version = self.version.strip_prefix("5.5.5-").unwrap_or(&self.version);
        let mut parts = version.split(|character: char| !character.is_ascii_digit());
        let mut next = || parts.next().and_then(|part| part.parse().ok()).unwrap_or_default();
        (next(), next(), next())
    }
}

/// `utf8mb4_general_ci`, until the session sets its own.
const COLLATION: u8 = 45;

/// What is asked for. Without these five the rest of this crate does not work.
const NEEDED: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF);
/// Vitess has no changes of the session to tell.
const WANTED: CapabilityFlags = NEEDED
    .union(CapabilityFlags::CLIENT_SESSION_TRACK)
    .union(CapabilityFlags::CLIENT_LONG_PASSWORD)
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_FOUND_ROWS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA);

/// A connection this long without a word is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(15);
const ASK_AGAIN: Duration = Duration::from_secs(5);
const ASKED: u32 = 3;

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`Error::ConnectTimeout`], what the network says, [`Error::Tls`], what the server says ([`Error::Server`] with 1045
    /// for a wrong password, 1049 for a database that is not there, 1040 when it is full).
    pub async fn open(address: &Address) -> Result<Self, Error> {
        let limit = address.connect_timeout;
        timeout(limit, Self::connect(address)).await.map_err(|_| Error::ConnectTimeout(limit))?
    }

    async fn connect(address: &Address) -> Result<Self, Error> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        stream.set_nodelay(true)?;
        notice_silence(&stream)?;
        let mut packets = Packets::new(stream, MAX_PACKET as usize);
        let greeting = receive_greeting(&mut packets).await?;
        let (mut packets, protection) = protect(address, &greeting, packets).await?;
        log_in(address, &greeting, &mut packets, protection).await?;
        Ok(Self::new(packets, server(&greeting)))
    }
}

/// A machine that is gone says nothing, and neither does a network that is cut: the kernel asks, and gives the connection
/// up after half a minute.
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE).with_interval(ASK_AGAIN).with_retries(ASKED))?;
    socket.set_tcp_user_timeout(Some(SILENCE + ASK_AGAIN * ASKED))
}

async fn receive_greeting(packets: &mut Packets<TcpStream>) -> Result<HandshakePacket<'static>, Error> {
    let place = packets.next().await?;
    let greeting = packets.payload(&place);
    if greeting.first() == Some(&0xff) {
        return Err(ServerError::read(greeting).into());
    }
    let greeting = ParseBuf(greeting).parse::<HandshakePacket<'_>>(())?.into_owned();
    if !greeting.capabilities().contains(NEEDED) {
        return Err(io::Error::other("the server is too old: MySQL 5.7 or MariaDB 10.2 is the least").into());
    }
    Ok(greeting)
}

/// Goes over to an encrypted stream, if the address asks for one and the server has it.
async fn protect(
    address: &Address,
    greeting: &HandshakePacket<'_>,
    mut packets: Packets<TcpStream>,
) -> Result<(Packets<Stream>, Protection), Error> {
    let is_offered = greeting.capabilities().contains(CapabilityFlags::CLIENT_SSL);
    match address.tls.mode() {
        TlsMode::Preferred | TlsMode::Required | TlsMode::Verify if is_offered => {}
        TlsMode::Off | TlsMode::Preferred => {
            let (stream, packets) = packets.take();
            return Ok((packets.put(Stream::Plain(stream)), Protection::Open));
        }
        TlsMode::Required | TlsMode::Verify => return Err(TlsError::NotOffered.into()),
    }
    let request = SslRequest::new(capabilities(address, greeting, true), MAX_PACKET, COLLATION);
    packets.answer(|buffer| request.serialize(buffer));
    packets.flush().await?;
    if packets.has_more() {
        return Err(TlsError::Injected.into());
    }
    let (stream, packets) = packets.take();
    let stream = Stream::Tls(Box::new(encrypt(address, stream).await?));
    let protection = if address.tls.checks_chain() { Protection::Verified } else { Protection::Encrypted };
    Ok((packets.put(stream), protection))
}

/// The same in the request for encryption and in the answer to the greeting, as the servers expect it.
fn capabilities(address: &Address, greeting: &HandshakePacket<'_>, encrypted: bool) -> CapabilityFlags {
    let mut capabilities = greeting.capabilities() & WANTED;
    capabilities.set(CapabilityFlags::CLIENT_CONNECT_WITH_DB, address.database.is_some());
    capabilities.set(CapabilityFlags::CLIENT_SSL, encrypted);
    capabilities
}

async fn log_in(
    address: &Address,
    greeting: &HandshakePacket<'_>,
    packets: &mut Packets<Stream>,
    protection: Protection,
) -> Result<(), Error> {
    let plugin = greeting.auth_plugin().unwrap_or(AuthPlugin::MysqlNativePassword);
    let mut login = Login::new(address, &plugin, greeting.nonce(), protection)?;
    let answer = HandshakeResponse::new(
        Some(login.first()?),
        server(greeting).numbers(),
        Some(address.user.as_bytes()),
        address.database.as_ref().map(String::as_bytes),
        Some(plugin),
        capabilities(address, greeting, protection != Protection::Open),
        None,
        MAX_PACKET,
    );
    packets.answer(|buffer| answer.serialize(buffer));
    packets.flush().await?;
    login.convince(packets).await
}

fn server(greeting: &HandshakePacket<'_>) -> Server {
    let version = greeting.server_version_str().into_owned();
    let product = Product::of(&version);
    let version = version.strip_prefix("5.5.5-").map_or(version.clone(), str::to_owned);
    Server { product, version, connection: greeting.connection_id() }
}

#[cfg(test)]
mod tests {
    use mysql_common::constants::StatusFlags;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// A server that says this, then nothing. What it heard when the client is gone.
    async fn greets(offer: CapabilityFlags, behind: &'static [u8], settings: &str) -> (Error, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("mysql://u:secret@{}?{settings}", listener.local_addr().unwrap()).parse().unwrap();
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut packets = Packets::new(stream, 1 << 10);
            let (scramble, status) = (Some(&[1; 13][..]), StatusFlags::empty());
            let plugin = Some(&b"mysql_clear_password"[..]);
            let greeting =
                HandshakePacket::new(10, &b"9.4.0"[..], 1, [1; 8], scramble, NEEDED | offer, 45, status, plugin);
            packets.command(|buffer| greeting.serialize(buffer));
            if !behind.is_empty() {
                packets.answer(|buffer| buffer.extend_from_slice(behind));
            }
            packets.flush().await.unwrap();
            let mut heard = Vec::new();
            let _ = packets.take().0.read_to_end(&mut heard).await;
            heard
        });
        (Connection::open(&address).await.unwrap_err(), served.await.unwrap())
    }

    #[tokio::test]
    async fn what_is_slipped_in_before_encryption_begins_is_not_taken_for_an_answer() {
        let (error, heard) = greets(CapabilityFlags::CLIENT_SSL, b"\0\0\0\x02\0\0\0", "tls=required").await;
        assert!(matches!(error, Error::Tls(TlsError::Injected)), "{error}");
        assert_eq!(heard.len(), 36, "the request for encryption and nothing else");
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_server_that_offers_less_than_is_asked() {
        for settings in ["tls=required", "tls=verify"] {
            let (error, heard) = greets(CapabilityFlags::empty(), b"", settings).await;
            assert!(matches!(error, Error::Tls(TlsError::NotOffered)), "{error}");
            assert!(heard.is_empty(), "{heard:?}");
        }
        let (error, heard) = greets(CapabilityFlags::empty(), b"", "tls=preferred").await;
        assert!(matches!(error, Error::Authentication(_)), "{error}");
        assert!(heard.is_empty(), "the password was asked for as it is");
    }

    #[test]
    fn a_version_names_the_product() {
        for (version, product) in [
            ("9.4.0", Product::MySql),
            ("5.5.5-10.6.1-MariaDB", Product::MariaDb),
            ("8.4.6-Vitess", Product::Vitess),
            ("8.0.11-TiDB-v8.1.0", Product::MySql),
        ] {
            assert_eq!(Product::of(version), product);
        }
    }

    #[test]
    fn a_version_has_three_numbers() {
        let numbers =
            |version: &str| Server { product: Product::MySql, version: version.to_owned(), connection: 0 }.numbers();
        assert_eq!(numbers("10.11.6-MariaDB-0+deb12u1"), (10, 11, 6));
        assert_eq!(numbers("5.5.5-10.6.1-MariaDB"), (10, 6, 1));
        assert_eq!(numbers("9.4"), (9, 4, 0));
    }
}
