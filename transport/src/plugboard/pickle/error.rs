//! Why a pickle is refused.

/// Why a pickle was not read, or a value not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// It has an instruction that makes something else than plain data, or that this machine lacks. Nothing of it is
    /// executed.
    #[error("at byte {offset}: the instruction {opcode} is refused: plain data does not need it")]
    Refused {
        /// Its name.
        opcode: &'static str,
        /// Where it is.
        offset: usize,
    },
    /// There is no such instruction.
    #[error("at byte {offset}: there is no instruction {code:#04x}")]
    Unknown {
        /// The byte.
        code: u8,
        /// Where it is.
        offset: usize,
    },
    /// It ends too early.
    #[error("at byte {offset}: {opcode} needs {needs} bytes, and {has} are there")]
    Truncated {
        /// The instruction.
        opcode: &'static str,
        /// Where it is.
        offset: usize,
        /// Bytes that it needs.
        needs: u64,
        /// Bytes that are there.
        has: usize,
    },
    /// It is of another protocol, or names none.
    #[error("it begins with {found}, and the protocols 2 to 5 are understood")]
    Protocol {
        /// What was found instead.
        found: String,
    },
    /// An instruction finds something else on the stack, or in the memo, than it needs.
    #[error("at byte {offset}: {opcode} cannot be: {reason}")]
    Misplaced {
        /// The instruction.
        opcode: &'static str,
        /// Where it is.
        offset: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// An integer does not fit into 64 bits.
    #[error("at byte {offset}: {opcode} has an integer of {bytes} bytes; 64 bits are carried")]
    Integer {
        /// The instruction.
        opcode: &'static str,
        /// Where it is.
        offset: usize,
        /// Its length.
        bytes: u64,
    },
    /// A text is not UTF-8: Python writes halves of surrogate pairs, which are no text.
    #[error("at byte {offset}: the text of {opcode} is not UTF-8")]
    Text {
        /// The instruction.
        opcode: &'static str,
        /// Where it is.
        offset: usize,
    },
    /// Something follows its end.
    #[error("at byte {offset}: it has ended, and {bytes} bytes follow")]
    Trailing {
        /// Where they begin.
        offset: usize,
        /// How many.
        bytes: usize,
    },
    /// A list or a dictionary, or a tuple that has one, is the key of a dictionary.
    #[error("a list or a dictionary is a key")]
    Key,
    /// The value is deeper than can be, or contains itself.
    #[error("the value is deeper than {limit}, or contains itself")]
    Depth {
        /// The bound.
        limit: usize,
    },
    /// The pickle, or the value that it stands for, is too large.
    #[error("the pickle or its value is larger than {limit} bytes")]
    Size {
        /// The bound.
        limit: usize,
    },
}
