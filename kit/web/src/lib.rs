//! REST building blocks: a router over `google.api.http` templates, content negotiation, conditional requests, request
//! bodies within limits, compression, CORS, and errors in the shape of `google.rpc.Status`.
//!
//! Plain functions over the parts of a request, called in the order the service decides; there is no stack of layers.

mod accept;
mod body;
mod compression;
mod condition;
mod cors;
mod error;
mod percent;
mod query;
mod reply;
mod router;

pub use accept::{Offer, content_type_essence, negotiate, split_extension};
pub use body::{BodyLimits, read_body};
pub use compression::{CompressionConfig, compress};
pub use condition::{EtagList, ReadCondition, if_match, if_none_match, read_condition};
pub use cors::{Cors, CorsConfig};
pub use error::{error_json, error_response};
pub use percent::decode as percent_decode;
pub use query::{QueryPairs, parse_query};
pub use reply::{head_only, method_not_allowed, no_content, options, respond};
pub use router::{Captures, Lookup, Route, RouteError, Router, RouterBuilder};
