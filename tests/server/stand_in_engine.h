// An engine that answers from a script: for tests of the server with programs whose requests no small model could
// answer (agents), and for what the server costs without a model. HTTP, the APIs, the chat template and the parsing of
// what the "model" says are the server's own; only the answers are made here.
//
// The linker puts these in the place of the library's calls (--wrap; see meson.build). The model, its tokenizer and its
// sessions are real, and of no consequence: tokens are those that the tokenizer makes of the script's text.
#ifndef TESTS_SERVER_STAND_IN_ENGINE_H
#define TESTS_SERVER_STAND_IN_ENGINE_H

#include <stdbool.h>

// Reads a script, a JSON list of {"say": TEXT, "when": TEXT or [TEXT...], "times": N}. A request takes the first entry
// that has been taken fewer than N times (once) and whose `when` is in its prompt, all of it. What finds none is told
// so. False: it is no script.
bool stand_in_script(const char *path);

// Each step takes so many milliseconds; 0, if this was not called.
void stand_in_pace(unsigned ms);

// Without a script every answer is one word over and over, until max_tokens.
#endif
