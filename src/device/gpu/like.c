// What a matrix takes on a card, for those who count before one is opened.
#include "device/count.h"
#include "device/gpu/kernels/runs16.h"

// Quantized weights take what they take in the file. F16 and BF16 become planes, and stay as rows beside them where
// rows are looked up too; rows of F32 are padded to groups of 32 (ops_weights.c).
static size_t form_bytes(struct device *d, const struct weight *w) {
    unsigned groups = groups16((unsigned)w->cols);
    size_t padded = (w->cols + 31) / 32 * 32;
    switch (w->type) {
    case TYPE_F16:
    case TYPE_BF16: return slabs16(w->rows) * groups * GROUP16 + units16(w->rows, runs16(groups)) * sizeof(float);
    case TYPE_F32: return padded == w->cols ? 0 : w->rows * padded * sizeof(float);
    default: return 0;
    }
}

struct device *device_like_card(void) {
    static const struct device_ops ops = {.kind = "card", .form_bytes = form_bytes};
    static struct device like = {&ops};
    return &like;
}
