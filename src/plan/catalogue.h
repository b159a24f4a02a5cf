// What is known of accelerators: accelerators.def as a table.
#ifndef PLAN_CATALOGUE_H
#define PLAN_CATALOGUE_H

#include "base/error.h"

enum confidence { CONFIDENCE_LOW, CONFIDENCE_MEDIUM, CONFIDENCE_HIGH };

#define CATALOGUE_DATE "2026-11"

// 0 and "" are what is not known.
struct accelerator {
    const char *name, *vendor;
    double memory; // GB, 10^9 bytes
    const char *memory_kind;
    double read;                 // GB/s
    double bf16, fp8, int8, fp4; // dense, 10^12 operations a second
    double watts;                // at most
    const char *link;
    double link_rate;   // GB/s, both ways together
    const char *launch; // "2023-12", "2025-Q1", "H2 2026"
    enum confidence confidence;
    const char *export_status, *source, *notes;
};

// Row `i`; NULL past the last.
const struct accelerator *accelerator_row(size_t i);

// The row that a person's words name: "MI300X", "rtx 4090", "h800". Of several forms of a card the one on a module with
// the most memory, and then *others is true. NULL with the error set if there is none, or too many.
const struct accelerator *accelerator_named(const char *name, size_t size, bool *others, gyr_error *e);

#endif
