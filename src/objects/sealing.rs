//! Sealing the secret values that a writer sends: those of secret params, and the fields of `Noun::SECRETS`.

use std::io;

use serde_json::Value;

use crate::kernel::secrets::{self, KeptSecret, SecretKey, SecretPlace, param_pointer};
use crate::kernel::{Error, TrackedWorld};
use crate::model::{Kind, Param, SecretReference, Stored};
use crate::objects::Objects;
use crate::objects::rules::NounRules;

impl Objects {
    /// The object with every stored member of a secret map that the writer keeps in its place, opened, so
    /// that the map is validated and sealed as a whole. A value that does not open stays as it was given, and
    /// is refused by the rules.
    pub(super) fn with_kept_members<T: NounRules>(
        &self,
        mut next: Stored<T>,
        old: Option<&Stored<T>>,
    ) -> Stored<T> {
        let key = next.key.clone();
        let (Some(params), Some(kept)) = (next.spec.params_mut(), old.and_then(|old| old.spec.params()))
        else {
            return next;
        };
        for (param, value) in params.iter_mut().filter(|(_, value)| secrets::keeps_members(value)) {
            let stored = kept.get(param).filter(|stored| secrets::is_sealed(stored));
            let pointer = param_pointer(param);
            let place = SecretPlace { kind: T::KIND, key: &key, pointer: &pointer };
            let opened = stored.and_then(|stored| self.kernel.secrets.open(place, stored).ok());
            if let (false, Some(opened)) = (secrets::means_stored(value), opened) {
                *value = KeptSecret(&opened).changed_to(value);
            }
        }
        next
    }

    /// Seals the secret values in an object that is about to replace `old`. A given value is sealed again,
    /// also if it is the one that is stored: if the revision told these apart, writers could guess secrets. A
    /// reference to a secret outside is stored as it is.
    ///
    /// # Errors
    /// A value could not be sealed.
    pub(super) fn seal<T: NounRules>(
        &self,
        world: &TrackedWorld<'_>,
        next: &mut Stored<T>,
        old: Option<&Stored<T>>,
    ) -> Result<(), Error> {
        let key = next.key.clone();
        if !T::SECRETS.is_empty() {
            let json = |stored: &Stored<T>| serde_json::to_value(&stored.spec).unwrap_or_default();
            let mut fields = json(next);
            let old = old.map(json);
            let secret = SecretFields { pointers: T::SECRETS, kind: T::KIND, key: &key };
            secret.seal((&mut fields, old.as_ref()), &self.kernel.secrets).map_err(failed)?;
            next.spec = serde_json::from_value(fields).map_err(|error| failed(io::Error::other(error)))?;
        }
        let Some(params) = next.spec.params_mut() else { return Ok(()) };
        for (param, value) in params {
            let kept = old.and_then(|old| old.spec.params()?.get(param));
            if let (true, Some(kept)) = (secrets::means_stored(value), kept) {
                *value = kept.clone();
            } else if !SecretReference::is_one(value)
                && world.get::<Param>(param).is_some_and(|declared| declared.spec.secret)
            {
                let pointer = param_pointer(param);
                let place = SecretPlace { kind: T::KIND, key: &key, pointer: &pointer };
                *value = self.kernel.secrets.seal(place, value).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn failed(error: io::Error) -> Error {
    Error::Failed(error.to_string())
}

/// The secret fields of one object.
#[derive(Clone, Copy)]
struct SecretFields<'a> {
    pointers: &'a [&'a str],
    kind: Kind,
    key: &'a str,
}

impl SecretFields<'_> {
    /// Seals the fields, where they are set; `{"sealed": true}` keeps what is stored.
    fn seal(&self, (next, old): (&mut Value, Option<&Value>), secret_key: &SecretKey) -> io::Result<()> {
        let SecretFields { pointers, kind, key } = *self;
        for pointer in pointers {
            let kept = old.and_then(|old| old.pointer(pointer)).filter(|kept| secrets::is_sealed(kept));
            let Some(value) = next.pointer_mut(pointer).filter(|value| !value.is_null()) else { continue };
            *value = match kept {
                Some(kept) if secrets::means_stored(value) => kept.clone(),
                _ => secret_key.seal(SecretPlace { kind, key, pointer }, value)?,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_secret_fields_of_a_noun_are_sealed_in_their_place_and_kept_by_their_shown_form() {
        let key = SecretKey::from_key([1; 32]);
        let of = SecretFields { pointers: &["/password", "/auth/token"], kind: Kind::Machine, key: "web1" };
        let mut first = json!({"password": "CANARY", "auth": {"token": "t"}, "name": "web1"});
        of.seal((&mut first, None), &key).unwrap();
        assert!(!first.to_string().contains("CANARY"), "{first}");
        let place = SecretPlace { kind: Kind::Machine, key: "web1", pointer: "/password" };
        assert_eq!(key.open(place, &first["password"]), Ok(json!("CANARY")));
        let mut shown = first.clone();
        secrets::mask_fields(&mut shown, of.pointers);
        assert_eq!(
            shown,
            json!({"password": {"sealed": true}, "auth": {"token": {"sealed": true}}, "name": "web1"})
        );
        shown["auth"]["token"] = json!("other");
        of.seal((&mut shown, Some(&first)), &key).unwrap();
        assert_eq!(shown["password"], first["password"]);
        assert_ne!(shown["auth"]["token"], first["auth"]["token"]);
        let mut absent = json!({"name": "web2"});
        of.seal((&mut absent, None), &key).unwrap();
        assert_eq!(absent, json!({"name": "web2"}));
    }
}
