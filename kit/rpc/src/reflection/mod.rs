//! `grpc.reflection.v1.ServerReflection`, and `v1alpha`, whose messages are the same on the wire.
//!
//! Files are served as the bytes they were given as, so that custom options survive; extensions are indexed, so that
//! clients can read those options.

mod index;

use std::sync::Arc;

use bytes::Bytes;
use kit_core::{BoxError, Code, Error};
use kit_net::{Response, unfold};
use prost::Message as _;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
    ServerReflectionResponse, ServiceResponse,
};

use crate::{Call, Framed, Messages};
use index::Index;

const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Answers questions about descriptors. Clones share the index.
#[derive(Debug, Clone)]
pub struct Reflection {
    index: Arc<Index>,
}

impl Reflection {
    /// Indexes encoded `FileDescriptorSet`s, and those of reflection and health themselves. A file that comes twice
    /// counts once.
    ///
    /// # Errors
    /// When a set cannot be decoded.
    pub fn new<'a>(sets: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, BoxError> {
        let own = [
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
        ];
        let mut index = Index::default();
        for set in sets.into_iter().chain(own) {
            index.add_set(set)?;
        }
        Ok(Self { index: Arc::new(index) })
    }

    /// Whether a path is a method of this service.
    pub fn is_path(path: &str) -> bool {
        PATHS.contains(&path)
    }

    /// Answers a call: one response per request, as they come.
    pub fn serve<B>(&self, call: &Call, body: B) -> Response
    where
        B: http_body::Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let state = (call.messages(body), Arc::clone(&self.index));
        call.stream(unfold(state, |(mut requests, index)| async move {
            Ok(next(&mut requests, &index).await?.map(|response| (response, (requests, index))))
        }))
    }
}

async fn next<B>(requests: &mut Messages<B>, index: &Index) -> Result<Option<Framed>, Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let Some(message) = requests.next().await? else { return Ok(None) };
    let request = ServerReflectionRequest::decode(message).map_err(|error| {
        Error::new(Code::InvalidArgument, "BAD_MESSAGE", "not a ServerReflectionRequest").with_source(error)
    })?;
    let answer = match &request.message_request {
        Some(question) => answer(question, index),
        None => Err(problem(Code::InvalidArgument, "the request asks nothing")),
    };
    let response = ServerReflectionResponse {
        valid_host: request.host.clone(),
        original_request: Some(request),
        message_response: Some(answer.unwrap_or_else(MessageResponse::ErrorResponse)),
    };
    Ok(Some(Framed::copy_of(&response.encode_to_vec())))
}

fn answer(question: &MessageRequest, index: &Index) -> Result<MessageResponse, ErrorResponse> {
    let file = |found: Option<&Bytes>, what: &str| {
        let file = found.ok_or_else(|| problem(Code::NotFound, &format!("{what} is not known here")))?;
        let file_descriptor_proto = vec![file.to_vec()];
        Ok(MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto }))
    };
    match question {
        MessageRequest::FileByFilename(name) => file(index.file(name), name),
        MessageRequest::FileContainingSymbol(symbol) => file(index.symbol(symbol), symbol),
        MessageRequest::FileContainingExtension(wanted) => {
            let what = format!("extension {} of {}", wanted.extension_number, wanted.containing_type);
            file(index.extension(&wanted.containing_type, wanted.extension_number), &what)
        }
        MessageRequest::AllExtensionNumbersOfType(name) => {
            let numbers = index.extension_numbers(name);
            let numbers = numbers.ok_or_else(|| problem(Code::NotFound, &format!("{name} is not a known message")))?;
            Ok(MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                base_type_name: name.clone(),
                extension_number: numbers,
            }))
        }
        MessageRequest::ListServices(_) => {
            let service = index.services().map(|name| ServiceResponse { name: name.to_owned() }).collect();
            Ok(MessageResponse::ListServicesResponse(ListServiceResponse { service }))
        }
    }
}

fn problem(code: Code, message: &str) -> ErrorResponse {
    ErrorResponse { error_code: code.grpc(), error_message: message.to_owned() }
}
