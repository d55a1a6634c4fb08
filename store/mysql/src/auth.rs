//! Logging in: the challenges are `mysql_common`'s, the packets around them are here.

use mysql_common::auth::plugins::{AuthProc, ChallengeResponsePlugin, Context, Response};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, AuthSwitchRequest};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::packets::Packets;
use crate::{Address, Error, ServerError};

/// What a plugin asks for.
struct Facts<'a> {
    password: &'a [u8],
    scramble: &'a [u8],
    encrypted: bool,
}

impl Context for Facts<'_> {
    fn pass(&self) -> &[u8] {
        self.password
    }

    fn is_ipc_transport(&self) -> bool {
        false
    }

    fn is_tls_transport(&self) -> bool {
        self.encrypted
    }

    fn scramble(&self) -> &[u8] {
        self.scramble
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

/// A login under way.
pub(crate) struct Login<'a> {
    address: &'a Address,
    plugin: AuthProc,
    scramble: Vec<u8>,
    encrypted: bool,
    switched: bool,
}

impl<'a> Login<'a> {
    /// Begins with the server's favourite way.
    pub(crate) fn new(
        address: &'a Address,
        plugin: &AuthPlugin<'_>,
        scramble: Vec<u8>,
        encrypted: bool,
    ) -> Result<Self, Error> {
        let plugin = choose(plugin, encrypted)?;
        Ok(Self { address, plugin, scramble, encrypted, switched: false })
    }

    /// The answer to the first challenge, which goes out with the handshake's answer.
    pub(crate) fn first(&mut self) -> Result<Vec<u8>, Error> {
        let scramble = self.scramble.clone();
        Ok(self.run(&scramble)?.data().unwrap_or_default().to_vec())
    }

    fn run(&mut self, challenge: &[u8]) -> Result<Response, Error> {
        let facts =
            Facts { password: self.address.password.as_bytes(), scramble: &self.scramble, encrypted: self.encrypted };
        self.plugin.run(facts, challenge).map_err(|error| Error::Authentication(error.to_string()))
    }

    /// Answers challenges until the server is convinced, or says that it is not.
    pub(crate) async fn convince<S>(mut self, packets: &mut Packets<S>) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let place = packets.next().await?;
            let packet = packets.payload(&place).to_vec();
            let answer = match packet.split_first() {
                Some((0x00, _)) => return Ok(()),
                Some((0xff, _)) => return Err(ServerError::read(&packet).into()),
                Some((0xfe, _)) => self.switch(&packet)?,
                Some((0x01, challenge)) => self.run(challenge)?,
                _ => return Err(Error::Protocol("no step of a login")),
            };
            if let Some(data) = answer.data() {
                packets.answer(|buffer| buffer.extend_from_slice(data));
                packets.flush().await?;
            }
        }
    }

    /// The server wants another way for this user.
    fn switch(&mut self, packet: &[u8]) -> Result<Response, Error> {
        if std::mem::replace(&mut self.switched, true) {
            return Err(Error::Authentication("the server keeps changing its mind".to_owned()));
        }
        let request: AuthSwitchRequest<'_> = ParseBuf(packet).parse(())?;
        self.plugin = choose(&request.auth_plugin(), self.encrypted)?;
        self.scramble = request.plugin_data().to_vec();
        let scramble = self.scramble.clone();
        self.run(&scramble)
    }
}

/// A way that does not hand the password to whoever listens.
fn choose(plugin: &AuthPlugin<'_>, encrypted: bool) -> Result<AuthProc, Error> {
    let name = String::from_utf8_lossy(plugin.as_bytes()).into_owned();
    match plugin {
        AuthPlugin::MysqlOldPassword => Err(Error::Authentication(format!("{name} is broken and not used"))),
        AuthPlugin::MysqlClearPassword if !encrypted => {
            Err(Error::Authentication(format!("{name} shows the password to the network and is not used without TLS")))
        }
        plugin => AuthProc::init(plugin).map_err(|error| Error::Authentication(error.to_string())),
    }
}
