//! Filters for digests of texts, in lower-case hex. Passwords are hashed by `password_hash`.

use md5::Md5;
use sha2::{Digest, Sha512};
use tera::{Kwargs, TeraResult, Value};

use crate::model::{hex, sha256_hex};
use crate::render::filters::text_of;
use crate::render::scope::RenderScope;

pub(super) fn sha256(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    Ok(Value::from(sha256_hex(text_of("sha256", value)?)))
}

pub(super) fn sha512(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    Ok(Value::from(hex(&Sha512::digest(text_of("sha512", value)?))))
}

/// For readers that know nothing else (RFC 1321). It does not protect against anybody.
pub(super) fn md5(value: &Value, _: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    Ok(Value::from(hex(&Md5::digest(text_of("md5", value)?))))
}
