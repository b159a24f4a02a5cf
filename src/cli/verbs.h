// A function a verb: argv[0] is the verb's name. Each returns the exit status.
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

int verb_run(int argc, char **argv);
int verb_inspect(int argc, char **argv);
int verb_tokenize(int argc, char **argv);
int verb_template(int argc, char **argv);
int verb_embed(int argc, char **argv);
int verb_logits(int argc, char **argv);
int verb_eval(int argc, char **argv);
int verb_devices(int argc, char **argv);
int verb_bench(int argc, char **argv);
int verb_pull(int argc, char **argv);
int verb_list(int argc, char **argv);
int verb_rm(int argc, char **argv);
int verb_convert(int argc, char **argv);
int verb_cache(int argc, char **argv);
int verb_key(int argc, char **argv);
int verb_serve(int argc, char **argv);
int verb_synth(int argc, char **argv);
int verb_quantize(int argc, char **argv);
int verb_merge(int argc, char **argv);
int verb_tune(int argc, char **argv);
int verb_train(int argc, char **argv);
int verb_plan(int argc, char **argv);
int verb_verify(int argc, char **argv);

#endif
