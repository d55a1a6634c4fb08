//! Logging in: the challenges are `mysql_common`'s, the packets around them are here.

use mysql_common::auth::plugins::{AuthProc, ChallengeResponsePlugin, Context, Response};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, AuthSwitchRequest};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::packets::Packets;
use crate::tls::Protection;
use crate::{Address, Error, ServerError};

/// What a plugin asks for.
struct Facts<'a> {
    password: &'a [u8],
    scramble: &'a [u8],
    protection: Protection,
}

impl Context for Facts<'_> {
    fn pass(&self) -> &[u8] {
        self.password
    }

    fn is_ipc_transport(&self) -> bool {
        false
    }

    fn is_tls_transport(&self) -> bool {
        self.protection != Protection::Open
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
    protection: Protection,
    switched: bool,
}

impl<'a> Login<'a> {
    /// Begins with the server's favourite way.
    pub(crate) fn new(
        address: &'a Address,
        plugin: &AuthPlugin<'_>,
        scramble: Vec<u8>,
        protection: Protection,
    ) -> Result<Self, Error> {
        let plugin = choose(plugin, protection)?;
        Ok(Self { address, plugin, scramble, protection, switched: false })
    }

    /// The answer to the first challenge, which goes out with the handshake's answer.
    pub(crate) fn first(&mut self) -> Result<Vec<u8>, Error> {
        let scramble = self.scramble.clone();
        Ok(self.run(&scramble)?.data().unwrap_or_default().to_vec())
    }

    fn run(&mut self, challenge: &[u8]) -> Result<Response, Error> {
        let password = self.address.password.as_bytes();
        let facts = Facts { password, scramble: &self.scramble, protection: self.protection };
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
        self.plugin = choose(&request.auth_plugin(), self.protection)?;
        self.scramble = request.plugin_data().to_vec();
        let scramble = self.scramble.clone();
        self.run(&scramble)
    }
}

/// A way that does not hand the password to whoever listens, nor to whoever merely asks for it.
fn choose(plugin: &AuthPlugin<'_>, protection: Protection) -> Result<AuthProc, Error> {
    let name = String::from_utf8_lossy(plugin.as_bytes()).into_owned();
    match plugin {
        AuthPlugin::MysqlOldPassword => Err(Error::Authentication(format!("{name} is broken and not used"))),
        AuthPlugin::MysqlClearPassword if protection != Protection::Verified => {
            let advice = "is used only with a server that is known: set tls=verify or tls_ca=FILE in the address";
            Err(Error::Authentication(format!("{name} hands over the password as it is, and {advice}")))
        }
        plugin => AuthProc::init(plugin).map_err(|error| Error::Authentication(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAR: AuthPlugin<'_> = AuthPlugin::MysqlClearPassword;

    #[test]
    fn a_password_as_it_is_goes_only_to_a_server_that_is_known() {
        for protection in [Protection::Open, Protection::Encrypted] {
            let error = choose(&CLEAR, protection).unwrap_err().to_string();
            assert!(error.contains("tls=verify"), "{error}");
        }
        assert!(choose(&CLEAR, Protection::Verified).is_ok());
    }

    #[test]
    fn a_password_that_the_server_has_to_see_is_not_sent_over_an_open_connection() {
        let address: Address = "mysql://user:secret@host".parse().unwrap();
        let answers = |protection| {
            let plugin = AuthPlugin::CachingSha2Password;
            let mut login = Login::new(&address, &plugin, vec![7; 20], protection).unwrap();
            login.first().unwrap();
            // The server does not remember this user: it asks for the password itself.
            login.run(&[4]).unwrap().data().unwrap().to_vec()
        };
        assert_eq!(answers(Protection::Encrypted), b"secret\0");
        assert_eq!(answers(Protection::Open), [2], "the server's key is asked for");
    }
}
