#include "text/jinja/vm.h"
#include "text/jinja/ast.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool source_fail(struct text source, const char *where, size_t at, gyr_error *e, const char *format, ...) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < source.size; i++) {
        if (source.data[i] == '\n')
            line++, column = 1;
        else if ((source.data[i] & 0xc0) != 0x80)
            column++;
    }
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail(e, GYR_MALFORMED, "%s:%zu:%zu: %s", where, line, column, text);
}

bool j_fail(struct vm *vm, const char *format, ...) {
    if (vm->failed) return false;
    vm->failed = true;
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return source_fail(vm->source, vm->where, vm->at ? vm->at->at : 0, vm->e, "%s", text);
}

bool j_step(struct vm *vm, size_t n) {
    if (n < MAX_STEPS && (vm->steps += n) < MAX_STEPS) return !vm->failed;
    vm->steps = MAX_STEPS;
    return j_fail(vm, "the template runs for more than %d steps", MAX_STEPS);
}

void *j_alloc(struct vm *vm, size_t size) {
    if (!j_step(vm, size / 64)) return NULL;
    void *p = heap_alloc(&vm->heap, size);
    if (!p) j_fail(vm, "the template uses more than %d MB of memory", MAX_MEMORY >> 20);
    return p;
}

void *j_alloc_array(struct vm *vm, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) return j_fail(vm, "a list grows too long"), NULL;
    return j_alloc(vm, bytes);
}
