//! The codes of refusals: one table for the API's answers, for the faults that an answer lists, and for the
//! problems of objects. Programs act on a code; the sentence beside it is for people.
//!
//! To add a code, add a row. `openapi.yaml` and `docs/operating/errors.md` are made from the rows. A code is
//! never renamed, and never changes its status.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

/// What is said of one code.
#[derive(Clone, Copy, Debug)]
pub struct CodeRow {
    pub code: RefusalCode,
    /// As it stands in JSON: `in_use`.
    pub name: &'static str,
    /// The HTTP status of an answer with this code; none for a code that only faults have.
    pub status: Option<u16>,
    /// Whether a fault or a problem can have it.
    pub is_of_faults: bool,
    pub cause: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Makes [`RefusalCode`] and [`CODE_ROWS`]. A row has the variant, the name, where the code stands, the cause
/// and the remedy.
macro_rules! refusal_codes {
    ($( $variant:ident $name:literal $stands:expr, $cause:literal, $remedy:literal; )*) => {
        /// Why something was refused, or is at fault, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RefusalCode {
            $( #[doc = $cause] $variant, )*
        }

        /// Every code, in the order of the documentation.
        pub static CODE_ROWS: &[CodeRow] = &[$( *RefusalCode::$variant.row() ),*];

        impl RefusalCode {
            /// Its row in the table.
            pub const fn row(self) -> &'static CodeRow {
                match self {
                    $( RefusalCode::$variant => {
                        const ROW: CodeRow = CodeRow {
                            code: RefusalCode::$variant,
                            name: $name,
                            status: $stands.0,
                            is_of_faults: $stands.1,
                            cause: $cause,
                            remedy: $remedy,
                        };
                        &ROW
                    } )*
                }
            }
        }
    };
}

/// Where a code stands: the status of an answer that has it, and whether faults have it.
type CodePlace = (Option<u16>, bool);
const FAULT: CodePlace = (None, true);

const fn answer(status: u16) -> CodePlace {
    (Some(status), false)
}

const fn answer_and_fault(status: u16) -> CodePlace {
    (Some(status), true)
}

refusal_codes! {
    BadRequest "bad_request" answer(400),
        "The query, the reference or a header cannot be understood.",
        "Correct what `detail` names; `/openapi.yaml` has the parameters of each operation.";
    NotJson "not_json" answer(400),
        "The body is not JSON, or it broke off.",
        "Correct the place that `detail` names by line and column.";
    TokenMissing "token_missing" answer(401),
        "The request has no usable `Authorization` header.",
        "Send `Authorization: Bearer` and a token.";
    TokenUnknown "token_unknown" answer(401),
        "The server has no such token, or none such any more.",
        "Use another token; `metalwright tokens create` makes one.";
    TokenExpired "token_expired" answer(401),
        "The token has passed its end.",
        "Make a new token. An agent fetches a new one when its machine boots again.";
    TokenOrphaned "token_orphaned" answer(401),
        "The token belongs to the agent of a machine that was deleted.",
        "Create the machine and boot it again.";
    SessionUnknown "session_unknown" answer(401),
        "The cookie belongs to no session, or to one that was ended.",
        "Log in again.";
    SessionExpired "session_expired" answer(401),
        "The session was not used for twelve hours, began seven days ago, or its token expired.",
        "Log in again.";
    ScopeMissing "scope_missing" answer(403),
        "The token lacks the scope that `detail` names.",
        "Use a token with that scope.";
    NotYours "not_yours" answer(403),
        "The object belongs to another machine, or the token may read it and not change it.",
        "Use a token that may change it.";
    ForeignPage "foreign_page" answer(403),
        "A browser sent the request with the cookie of a session, and not from a page of this server.",
        "Send it from the console, or send a token: `Authorization: Bearer`.";
    AgentToken "agent_token" answer(403),
        "The token belongs to the agent of a machine, which cannot log in.",
        "Log in with a token that `metalwright tokens create` made.";
    NotFound "not_found" answer_and_fault(404),
        "There is no such object, or the token may not see it.",
        "Check the reference; list the objects to see which there are.";
    NoSuchPath "no_such_path" answer(404),
        "The API has no such path.",
        "Check the path against `/openapi.yaml`.";
    MethodNotAllowed "method_not_allowed" answer(405),
        "The path does not take this method.",
        "Check the method against `/openapi.yaml`.";
    BodyTimeout "body_timeout" answer(408),
        "The body did not arrive in time.",
        "Send it again over a faster link.";
    Taken "taken" answer(409),
        "Another object has this value, and no two may share it.",
        "Choose another value, or change the object that `detail` names.";
    InUse "in_use" answer(409),
        "Other objects or events need it as it is.",
        "Change those that `detail` names first, or use `force=true` where `detail` names it.";
    Overlaps "overlaps" answer_and_fault(409),
        "Two ranges, networks or paths have a part in common.",
        "Choose ranges that are apart.";
    ReadOnly "read_only" answer_and_fault(409),
        "It comes from a pack, or the field is not for clients to set.",
        "Make an override of the object, or one of the site with its name; leave the field as it is.";
    Locked "locked" answer(409),
        "The machine is locked.",
        "Unlock it: set `locked` to false.";
    LastAdministrator "last_administrator" answer(409),
        "No other token with the scope `*` would be left.",
        "Make another token with the scope `*` first.";
    TestFailed "test_failed" answer(409),
        "A `test` operation of the JSON Patch found another value.",
        "Read the object again and decide anew.";
    RunUnderWay "run_under_way" answer(409),
        "The machine has a run under way.",
        "Wait for its end, or cancel it.";
    NoRun "no_run" answer(409),
        "The machine has no run, or none under way.",
        "Start a workflow.";
    WrongState "wrong_state" answer(409),
        "It cannot be done in the present state.",
        "Read the state, and do what `detail` says.";
    NotUsable "not_usable" answer(409),
        "Something that is needed is missing or at fault.",
        "Correct what `detail` lists, then try again.";
    Ended "ended" answer(409),
        "The lease, job or boot attempt has ended already.",
        "Nothing is left to do for it.";
    NotKept "not_kept" answer(409),
        "The text or the log is not kept, or not any more.",
        "The settings of the retention say how long what is kept.";
    LogGap "log_gap" answer(409),
        "The piece of the log begins after the end of the log.",
        "Write at the offset that `detail` names.";
    LogFull "log_full" answer(409),
        "The log has as many bytes as a log may have.",
        "Write less.";
    Overtaken "overtaken" answer(409),
        "Somebody else changed it at the same time.",
        "Read it again and repeat the request.";
    ReadAgain "read_again" answer(410),
        "What changed since is not known any more.",
        "Read the lists again, and follow the changes from there.";
    Stale "stale" answer(412),
        "The object has another revision than `If-Match` says.",
        "Read it again, decide anew, and send the new revision.";
    TooLarge "too_large" answer_and_fault(413),
        "It has more bytes, items or levels than are admitted.",
        "Send less; the message names the bound.";
    WrongMediaType "wrong_media_type" answer(415),
        "The body has a content type that is not taken here.",
        "Send one of the types that `detail` names.";
    Invalid "invalid" answer_and_fault(422),
        "What was sent is at fault; as a fault, one that no other code stands for.",
        "Correct every entry of `problems`.";
    UnknownField "unknown_field" FAULT,
        "There is no field of this name.",
        "Use the name that the message proposes, or leave the field out.";
    Missing "missing" FAULT,
        "A field that is needed is not there.",
        "Add the field.";
    WrongType "wrong_type" FAULT,
        "The value has another JSON type than the field.",
        "Send the type that the message names.";
    Malformed "malformed" FAULT,
        "The text is not written as the field wants it.",
        "Write it like the example in the message.";
    NotOneOf "not_one_of" FAULT,
        "The value is none of those that the field takes.",
        "Use one of the values that the message lists.";
    OutOfRange "out_of_range" FAULT,
        "The number or the time is too small or too large, or lies outside of its network.",
        "Use a value within the bounds that the message names.";
    Duplicate "duplicate" FAULT,
        "It is listed twice, or a name stands twice in a JSON object.",
        "Leave one of them.";
    Hidden "hidden" FAULT,
        "An object of the site is in force in the place of what it changes.",
        "Delete the object of the site, or what changes nothing.";
    Exclusive "exclusive" FAULT,
        "The fields do not go together, or exactly one of several is needed.",
        "Set the fields that the message asks for.";
    Circular "circular" FAULT,
        "Objects refer to each other in a circle.",
        "Take one of the references out.";
    Renamed "renamed" FAULT,
        "The param has another name now. The older one still counts.",
        "Write it as the message says.";
    NotAdmitted "not_admitted" FAULT,
        "The configuration of the server does not admit it.",
        "Use another value, or change the setting that the message names.";
    Template "template" FAULT,
        "A template cannot be read, or its render failed.",
        "Correct the template at `template`, `line` and `column`.";
    BadSchema "bad_schema" FAULT,
        "The declared JSON Schema is not usable.",
        "Correct the schema of the param.";
    NotReady "not_ready" FAULT,
        "A param that the run needs has no value, or a bootenv of it cannot be booted.",
        "Set the param; add or wait for the artifact.";
    MissingFile "missing_file" FAULT,
        "A kernel or an initrd is not in its artifact.",
        "Add the file to the artifact, or correct the path in the bootenv.";
    BadDocument "bad_document" FAULT,
        "A rendered document would stop the installer or the shell that reads it.",
        "Correct the template, or the param that it shows, near `line` of the document.";
    NoLogin "no_login" FAULT,
        "Nobody could log in to the installed system.",
        "Set `ssh_keys`, keys in `users`, `user_passwords` or `root_password`.";
    NoPackageSource "no_package_source" FAULT,
        "The installer would find no packages.",
        "Name a mirror or a repository to install from.";
    BadSshKey "bad_ssh_key" FAULT,
        "An entry is no SSH public key.",
        "Copy the line of the file that ends with `.pub`.";
    BadPasswordHash "bad_password_hash" FAULT,
        "A password begins like a hash and is none.",
        "Copy the whole hash, or give the password in plain text.";
    UnknownTimeZone "unknown_time_zone" FAULT,
        "The tz database has no such time zone.",
        "Use a name like `Europe/Berlin`.";
    UnknownLocale "unknown_locale" FAULT,
        "No distribution has such a locale.",
        "Use a name like `en_US.UTF-8`.";
    UnknownKeyboard "unknown_keyboard" FAULT,
        "There is no such keyboard layout.",
        "Use a name like `us` or `de`.";
    UnusableAddress "unusable_address" FAULT,
        "The address is that of the network, or its broadcast address.",
        "Give the machine an address of a host.";
    UnreachableGateway "unreachable_gateway" FAULT,
        "The gateway is not another host of the machine's network.",
        "Correct the gateway, the address or the prefix length.";
    TooMuch "too_much" answer(429),
        "The machine has written more than its budget allows, or an address logs in too often.",
        "Try again after the seconds of `Retry-After`.";
    Failed "failed" answer(500),
        "Something of the server's own failed.",
        "Look in the server's log for the request id.";
    Busy "busy" answer(503),
        "Too much was asked at once.",
        "Try again after the seconds of `Retry-After`.";
    Unavailable "unavailable" answer(503),
        "The server starts, stops, or cannot work.",
        "Try again; `/readyz` says what is missing.";
}

/// The faults of a check before a run that an operator may accept.
pub const ACCEPTABLE_FAULTS: [RefusalCode; 12] = [
    RefusalCode::Template,
    RefusalCode::MissingFile,
    RefusalCode::BadDocument,
    RefusalCode::NoLogin,
    RefusalCode::NoPackageSource,
    RefusalCode::BadSshKey,
    RefusalCode::BadPasswordHash,
    RefusalCode::UnknownTimeZone,
    RefusalCode::UnknownLocale,
    RefusalCode::UnknownKeyboard,
    RefusalCode::UnusableAddress,
    RefusalCode::UnreachableGateway,
];

impl RefusalCode {
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The code of that name; none where there is no such code.
    pub fn parse(name: &str) -> Option<Self> {
        CODE_ROWS.iter().find(|row: &&CodeRow| row.name == name).map(|row| row.code)
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for RefusalCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A code of another version of the server reads as [`RefusalCode::Invalid`].
impl<'de> Deserialize<'de> for RefusalCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        Ok(RefusalCode::parse(&name).unwrap_or(RefusalCode::Invalid))
    }
}

impl JsonSchema for RefusalCode {
    fn schema_name() -> Cow<'static, str> {
        "RefusalCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        code_schema(
            "Why, for programs. `docs/operating/errors.md` has the cause and the remedy of each.",
            |_| true,
        )
    }
}

/// The schema of the codes that some of the rows have.
pub fn code_schema(about: &str, of: fn(&CodeRow) -> bool) -> Schema {
    let rows: Vec<&CodeRow> = CODE_ROWS.iter().filter(|row| of(row)).collect();
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let causes: Vec<&str> = rows.iter().map(|row| row.cause).collect();
    let schema =
        json!({"type": "string", "description": about, "enum": names, "x-enum-descriptions": causes});
    schema.try_into().unwrap_or_default()
}

/// `docs/operating/errors.md`.
pub fn refusal_codes_markdown() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Codes of answers\n\n| code | status | cause | what to do |\n|---|---|---|---|\n");
    for row in CODE_ROWS {
        let CodeRow { name, cause, remedy, .. } = row;
        if let Some(status) = row.status {
            let _ = writeln!(page, "| `{name}` | {status} | {cause} | {remedy} |");
        }
    }
    page.push_str("\n## Codes of faults and problems\n\n| code | cause | what to do |\n|---|---|---|\n");
    for CodeRow { name, cause, remedy, .. } in CODE_ROWS.iter().filter(|row| row.is_of_faults) {
        let _ = writeln!(page, "| `{name}` | {cause} | {remedy} |");
    }
    page
}

const HEAD: &str = "# Errors

<!-- Made by `metalwright errors -o markdown`. Change src/model/refusal_code.rs instead. -->

A refusal of the API is a problem document (RFC 9457). `code` says for programs what it is, `detail` says for
people what is wrong and what to do. Codes never change their meaning; a new version may have more of them.
The command line shows the code in brackets: `[taken]`.

```json
{
  \"type\": \"urn:metalwright:problem:unprocessable-entity\",
  \"title\": \"Unprocessable Entity\",
  \"status\": 422,
  \"code\": \"invalid\",
  \"detail\": \"1 at fault: /macs/0: \\\"52:54\\\" does not fit: write it like 52:54:00:aa:00:01\",
  \"problems\": [
    {
      \"code\": \"malformed\",
      \"pointer\": \"/macs/0\",
      \"message\": \"\\\"52:54\\\" does not fit: write it like 52:54:00:aa:00:01\"
    }
  ],
  \"request_id\": \"01932f6e-6c1c-7e52-8a60-6f3f1f3c9c55\"
}
```

`problems` lists every fault of what was sent, up to 64. `pointer` is a JSON pointer (RFC 6901) into what was
sent: `~` in a name is `~0`, `/` is `~1`. A fault of a template has its place in `template`, `line` and
`column`. The `problems` of an object that was read have the same form, and say why the object cannot be used
as it is.

`request_id` names the request. It stands in the header `X-Request-Id` of every answer, in the server's log,
and in `request_id` of the events that the request brought about: `metalwright events list --request-id ID`.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_name_and_the_statuses_are_those_of_refusals() {
        for row in CODE_ROWS {
            assert_eq!(RefusalCode::parse(row.name), Some(row.code), "{} stands twice", row.name);
            assert!(row.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", row.name);
            assert!(row.status.is_none_or(|status| (400..600).contains(&status)), "{}", row.name);
            assert!(row.status.is_some() || row.is_of_faults, "{} stands nowhere", row.name);
        }
    }

    #[test]
    fn a_code_of_another_version_can_be_read() {
        let read = |text| serde_json::from_value::<RefusalCode>(json!(text)).unwrap();
        assert_eq!((read("taken"), read("brand_new")), (RefusalCode::Taken, RefusalCode::Invalid));
    }
}
