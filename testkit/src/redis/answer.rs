//! What a server answers, over a connection of its own for each question.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// There is nothing.
    Nothing,
    /// A number.
    Number(i64),
    /// A status, or bytes.
    Text(Vec<u8>),
    /// Several answers.
    List(Vec<Answer>),
    /// A refusal, with its code in front.
    Error(String),
}

impl Answer {
    /// Its text; that of a list line by line.
    pub fn text(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::List(answers) => answers.iter().map(Self::text).collect::<Vec<_>>().join("\n"),
            Self::Error(problem) => problem.clone(),
        }
    }
}

/// Asks the server behind this address.
pub(super) fn ask(address: SocketAddr, words: &[&[u8]], patience: Duration) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        write!(request, "${}\r\n", word.len())?;
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    stream.write_all(&request)?;
    read(&mut BufReader::new(stream))
}

fn read(from: &mut impl BufRead) -> io::Result<Answer> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or(io::ErrorKind::UnexpectedEof)?;
    let number = || rest.parse::<i64>().map_err(io::Error::other);
    match kind {
        "+" => Ok(Answer::Text(rest.as_bytes().to_vec())),
        "-" => Ok(Answer::Error(rest.to_owned())),
        ":" => Ok(Answer::Number(number()?)),
        "$" => match usize::try_from(number()?) {
            Err(_) => Ok(Answer::Nothing),
            Ok(length) => {
                let mut bytes = vec![0; length + 2];
                from.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Ok(Answer::Text(bytes))
            }
        },
        "*" => match usize::try_from(number()?) {
            Err(_) => Ok(Answer::Nothing),
            Ok(count) => Ok(Answer::List((0..count).map(|_| read(from)).collect::<io::Result<_>>()?)),
        },
        _ => Err(io::Error::other(format!("no answer begins with {line:?}"))),
    }
}
