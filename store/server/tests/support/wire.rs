//! Messages from JSON and to JSON, by the schema's own descriptors: an oracle that shares no code with the server.

use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};
use rowkeep_schema::Schema;
use serde_json::Value;

pub fn encode(schema: &Schema, message: &str, json: &Value) -> Vec<u8> {
    let descriptor = schema.descriptors.get_message_by_name(message).unwrap_or_else(|| panic!("no message {message}"));
    DynamicMessage::deserialize(descriptor, json.clone()).unwrap().encode_to_vec()
}

pub fn decode(schema: &Schema, message: &str, bytes: &[u8]) -> Value {
    let descriptor = schema.descriptors.get_message_by_name(message).unwrap_or_else(|| panic!("no message {message}"));
    let message = DynamicMessage::decode(descriptor, bytes).unwrap();
    let options = SerializeOptions::new();
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}
