// Fine-tuning: a file of chats becomes a model that answers as they do.
import {getJson} from "./api.js";
import {findModel, loadModels} from "./catalog.js";
import {fill, h} from "./dom.js";
import {t} from "./i18n.js";
import {TuneForm} from "./tune_form.js";
import {TuneJob, isMoving} from "./tune_job.js";
import {visible} from "./visible.js";

const SOON_MS = 1000, EACH_MS = 10000;

export class TuneView {
    constructor(go) {
        this.go = go;
        this.jobs = new Map(); // by id
        this.form = new TuneForm(() => this.refresh());
        this.list = h("div", {class: "tune-jobs"});
        this.wrong = h("p", {class: "wrong", role: "alert"});
        this.element = h("div", {class: "view", tabIndex: 0}, h("h1", {}, t("tune.title")), h("p", {class: "lead"}, t("tune.note")), this.form.element,
            h("h2", {}, t("tune.jobs")), this.wrong, this.list);
        this.form.load();
        this.refresh();
    }

    async refresh() {
        clearTimeout(this.timer);
        let moving = false;
        try {
            const {data} = await getJson("v1/fine_tuning/jobs?limit=50");
            const known = JSON.stringify([...this.jobs.values()].map(({job}) => [job.id, job.status]));
            moving = data.some(isMoving);
            if (known !== JSON.stringify(data.map((job) => [job.id, job.status]))) await loadModels();
            await this.show(data);
            fill(this.wrong);
        } catch (error) {
            fill(this.wrong, visible(error.message));
        }
        clearTimeout(this.timer);
        if (!this.closed) this.timer = setTimeout(() => this.refresh(), moving ? SOON_MS : EACH_MS);
    }

    async show(data) {
        const more = {go: this.go, changed: () => loadModels().then(() => this.refresh()), gone: (name) => !findModel(name)};
        const before = [...this.jobs.keys()].join();
        this.jobs = new Map(data.map((job) => [job.id, this.jobs.get(job.id) || new TuneJob(job, more)]));
        if (!data.length) fill(this.list, h("p", {class: "hint"}, t("tune.jobs.none")));
        else if ([...this.jobs.keys()].join() !== before) fill(this.list, [...this.jobs.values()].map((job) => job.element));
        await Promise.all(data.map((job) => this.jobs.get(job.id).update(job)));
    }

    close() {
        this.closed = true;
        clearTimeout(this.timer);
        this.form.close();
    }
}
