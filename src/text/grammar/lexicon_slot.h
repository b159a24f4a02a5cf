// Where a tokenizer keeps what grammars made of its vocabulary.
#ifndef TEXT_GRAMMAR_LEXICON_SLOT_H
#define TEXT_GRAMMAR_LEXICON_SLOT_H

struct lexicon_slot;
struct lexicon_slot *lexicon_slot_new(void); // NULL: no memory
void lexicon_slot_free(struct lexicon_slot *s);

#endif
