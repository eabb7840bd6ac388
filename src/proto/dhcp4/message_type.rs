//! The types of messages (option 53, RFC 2132 section 9.6).

/// What a message is for. A type that the server neither sends nor answers is known by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    Discover,
    Offer,
    Request,
    Decline,
    Ack,
    Nak,
    Release,
    Inform,
    /// RFC 3203.
    ForceRenew,
    Other(u8),
}

/// Those with a name, in the order of their numbers, from 1 on.
const NAMED: [MessageType; 9] = [
    MessageType::Discover,
    MessageType::Offer,
    MessageType::Request,
    MessageType::Decline,
    MessageType::Ack,
    MessageType::Nak,
    MessageType::Release,
    MessageType::Inform,
    MessageType::ForceRenew,
];

impl From<u8> for MessageType {
    fn from(code: u8) -> Self {
        let place = usize::from(code).checked_sub(1);
        place.and_then(|place| NAMED.get(place).copied()).unwrap_or(MessageType::Other(code))
    }
}

impl From<MessageType> for u8 {
    fn from(message: MessageType) -> u8 {
        match message {
            MessageType::Discover => 1,
            MessageType::Offer => 2,
            MessageType::Request => 3,
            MessageType::Decline => 4,
            MessageType::Ack => 5,
            MessageType::Nak => 6,
            MessageType::Release => 7,
            MessageType::Inform => 8,
            MessageType::ForceRenew => 9,
            MessageType::Other(code) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use dhcproto::v4;

    use super::*;

    #[test]
    fn every_number_is_the_type_that_another_decoder_takes_it_for() {
        for code in 0..=u8::MAX {
            let message = MessageType::from(code);
            assert_eq!(u8::from(message), code);
            if !matches!(message, MessageType::Other(_)) {
                assert_eq!(format!("{message:?}"), format!("{:?}", v4::MessageType::from(code)));
            }
        }
    }
}
