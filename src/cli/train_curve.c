// The curves of a training as an SVG picture: losses, and bits per byte of what is held out.
#include "output.h"
#include "train.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = 720, HIGH = 400, LEFT = 60, RIGHT = 20, TOP = 40, BOTTOM = 40, POINTS = 600, LINES = 5 };

// What is drawn: steps [0, steps), values [low, high].
struct frame {
    const gyr_train *train;
    size_t steps;
    double low, high;
};

static double x_of(const struct frame *f, double step) {
    return LEFT + step / (double)(f->steps > 1 ? f->steps - 1 : 1) * (WIDE - LEFT - RIGHT);
}

static double y_of(const struct frame *f, double value) {
    return TOP + (f->high - value) / (f->high - f->low) * (HIGH - TOP - BOTTOM);
}

static void reach(struct frame *f, double value) {
    if (!isfinite(value)) return;
    f->low = fmin(f->low, value);
    f->high = fmax(f->high, value);
}

static struct frame frame_of(const gyr_train *train) {
    struct frame f = {.train = train, .low = INFINITY, .high = -INFINITY};
    float loss, bits;
    for (; gyr_train_get_step(train, f.steps, &loss, &bits); f.steps++) {
        reach(&f, (double)loss);
        reach(&f, (double)bits);
    }
    if (!(f.low <= f.high)) f.low = 0, f.high = 1;
    if (f.high - f.low < 1e-6) f.high = f.low + 1;
    return f;
}

static void draw_scale(FILE *out, const struct frame *f) {
    for (int i = 0; i < LINES; i++) {
        double value = f->low + (f->high - f->low) * i / (LINES - 1), y = y_of(f, value);
        double step = (double)(f->steps > 1 ? f->steps - 1 : 1) * i / (LINES - 1), x = x_of(f, step);
        fprintf(out, "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>\n", LEFT, y, WIDE - RIGHT);
        fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.2f</text>\n", LEFT - 6, y + 4, value);
        fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n", x, HIGH - BOTTOM + 18, step + 1);
    }
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">step</text>\n", WIDE / 2, HIGH - 6);
}

// Steps that share a point are drawn as their mean.
static void draw_losses(FILE *out, const struct frame *f) {
    size_t each = (f->steps + POINTS - 1) / POINTS;
    fprintf(out, "<polyline fill=\"none\" stroke=\"#1f6feb\" points=\"");
    for (size_t i = 0; i < f->steps; i += each) {
        double sum = 0, n = 0;
        float loss, bits;
        for (size_t k = i; k < i + each && gyr_train_get_step(f->train, k, &loss, &bits); k++) sum += (double)loss, n++;
        fprintf(out, "%.1f,%.1f ", x_of(f, (double)i + (n - 1) / 2), y_of(f, sum / n));
    }
    fprintf(out, "\"/>\n");
}

static void draw_bits(FILE *out, const struct frame *f) {
    float loss, bits;
    fprintf(out, "<polyline fill=\"none\" stroke=\"#d1242f\" points=\"");
    for (size_t i = 0; gyr_train_get_step(f->train, i, &loss, &bits); i++)
        if (isfinite(bits)) fprintf(out, "%.1f,%.1f ", x_of(f, (double)i), y_of(f, (double)bits));
    fprintf(out, "\"/>\n");
    for (size_t i = 0; gyr_train_get_step(f->train, i, &loss, &bits); i++)
        if (isfinite(bits))
            fprintf(out,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"#d1242f\"><title>step %zu: %.4f</title></circle>\n",
                    x_of(f, (double)i), y_of(f, (double)bits), i + 1, (double)bits);
}

static void draw(FILE *out, const struct frame *f) {
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
            "font-size=\"12\">\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
            WIDE, HIGH, WIDE, HIGH);
    draw_scale(out, f);
    draw_losses(out, f);
    draw_bits(out, f);
    fprintf(out,
            "<text x=\"%d\" y=\"24\" fill=\"#1f6feb\">loss (nats per token)</text>\n"
            "<text x=\"%d\" y=\"24\" fill=\"#d1242f\">held out (bits per byte)</text>\n</svg>\n",
            LEFT, LEFT + 180);
}

int train_curve(const gyr_train *train, const char *output, char **path) {
    size_t n = strlen(output), tail = strlen(".gguf");
    *path = malloc(n + sizeof ".svg");
    if (!*path) return say_error("out of memory"), GYR_NO_MEMORY;
    snprintf(*path, n + sizeof ".svg", "%.*s.svg", (int)(n > tail ? n - tail : n), output);
    struct frame f = frame_of(train);
    FILE *out = fopen(*path, "w");
    if (out) draw(out, &f);
    bool ok = out && !ferror(out);
    if (out && fclose(out)) ok = false;
    if (ok) return GYR_OK;
    say_error("%s: %s; the model itself is written", *path, strerror(errno));
    free(*path);
    return GYR_IO;
}
