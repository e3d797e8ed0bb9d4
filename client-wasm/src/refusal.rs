//! Errors on their way to JavaScript: the string `code message`, which the shell makes an error object of.

use std::fmt::Display;

use inkwire_document::EditError;
use inkwire_protocol::client::OpenError;
use inkwire_protocol::replica::EditRefused;
use wasm_bindgen::JsValue;

/// A refusal with its code.
pub(crate) struct Refused {
    code: &'static str,
    message: String,
}

pub(crate) fn refusal(code: &'static str, message: &dyn Display) -> JsValue {
    Refused { code, message: message.to_string() }.into()
}

impl From<Refused> for JsValue {
    fn from(Refused { code, message }: Refused) -> Self {
        JsValue::from_str(&format!("{code} {message}"))
    }
}

impl From<EditError> for Refused {
    fn from(error: EditError) -> Self {
        let code = match error {
            EditError::OutOfRange { .. } => "out_of_range",
            EditError::TooLarge { .. } => "too_large",
            EditError::Behind { .. } => "not_ready",
            EditError::Delta { .. } => "bad_delta",
            _ => "edit_refused",
        };
        Self { code, message: error.to_string() }
    }
}

impl From<EditRefused> for Refused {
    fn from(error: EditRefused) -> Self {
        let code = match error {
            EditRefused::Edit(error) => return error.into(),
            EditRefused::ReadOnly => "read_only",
            EditRefused::OutboxFull { .. } => "outbox_full",
            EditRefused::NotReady => "not_ready",
            EditRefused::Closed => "closed",
            _ => "edit_refused",
        };
        Self { code, message: error.to_string() }
    }
}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        let code = match error {
            OpenError::BadName(_) => "bad_document_name",
            _ => "closed",
        };
        Self { code, message: error.to_string() }
    }
}
