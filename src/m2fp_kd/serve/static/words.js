/** Everything that the page says, in English and Chinese. */

import { PARTS_ZH } from "./parts_zh.js";

const EN = {
  title: "Human parsing",
  lead: "Shows for every pixel of a photo which body part or garment it belongs to.",
  language: "Language",
  invite: "Drop a photo here or paste one",
  choose: "Choose photos",
  camera: "Use the camera",
  examples: "Or try an example",
  "example.street": "Example: four people on a street",
  "example.group": "Example: a group of four",
  "example.pair": "Example: two people in a park",
  private: "Photos are parsed in the server's memory and not kept.",
  token: "This server asks for a token",
  "token.send": "Use it",
  "token.hint": "It stays in this page's memory and is gone when you leave.",
  model: "Model",
  "mode.lite": "Light",
  "mode.full": "Full",
  "mode.split": "Compare",
  opacity: "Overlay",
  divider: "Divider between the two overlays",
  photo: "The photo with its parts laid over it",
  photos: "Your photos",
  "photos.show": "Show photo {number}: {name}",
  "photos.clear": "Remove all",
  parts: "Parts",
  "parts.hint": "Point at a part to see it alone, press it to keep it so.",
  "parts.none": "No person was found in this photo.",
  entry: "{name}: {share} of the photo",
  "entry.score": "{name}: {share} of the photo, score {score}",
  part: "Part",
  share: "Share",
  score: "Score",
  agreement: "The two models agree on {share} of the pixels.",
  people: "People",
  "people.none": "None.",
  "people.persons": "Person {number}",
  "people.regions": "Region {number}",
  "people.note": "This model does not tell people apart. These are connected regions: two people who touch are one.",
  download: "Download",
  "download.from": "Download what the {mode} model found",
  "download.map": "Part map",
  "download.mosaic": "Mosaic",
  "download.json": "Result",
  timings: "Time for this photo",
  "timings.compared": "{factor}× as fast as the {mode} model",
  "timings.step": "Step, ms",
  "step.queue": "Waiting for its turn",
  "step.read": "Reading the photo",
  "step.place": "Resizing",
  "step.network": "Network",
  "step.restore": "Back to the photo's size",
  "step.people": "Telling people apart",
  "step.total": "Total",
  models: "The models",
  "models.one": "The model",
  "fact.title": "Name",
  "fact.precision": "Precision",
  "fact.megabytes": "Size",
  "fact.engine": "Engine",
  "fact.arithmetic": "Arithmetic",
  "fact.input": "Input",
  "fact.labels": "Label set",
  "fact.people": "Tells people apart",
  "fact.teacher": "Teacher",
  "fact.licence": "Licence of the weights",
  "fact.parts": "{name}, {count} parts",
  yes: "yes",
  no: "no",
  unknown: "not stated",
  busy: "The {mode} model is looking at the photo …",
  "busy.mosaic": "The server is drawing the mosaic …",
  "done.parts.one": "{count} part",
  "done.parts.other": "{count} parts",
  "done.persons.one": "{count} person",
  "done.persons.other": "{count} people",
  "done.regions.one": "{count} region",
  "done.regions.other": "{count} regions",
  "done.agreement": "the same on {share} of the pixels",
  retry: "Try again",
  "retry.after": "Try again in {seconds} s.",
  unreachable: "The server does not answer. Check the connection and try again.",
  "too.large": "{name} has {megabytes} MB; this server takes {limit} MB at most. Choose a smaller photo.",
  "camera.refused": "The camera cannot be used: it is in use elsewhere, or the browser was not allowed to.",
  "camera.shoot": "Take the photo",
  cancel: "Cancel",
  footer: "m2fp-kd, Apache-2.0. The weights have their own licence, see above.",
  api: "API",
};

const ZH = {
  title: "人体解析",
  lead: "显示照片中每个像素属于哪个身体部位或哪件衣物。",
  language: "语言",
  invite: "将照片拖到这里，或直接粘贴",
  choose: "选择照片",
  camera: "用摄像头拍照",
  examples: "或试试示例",
  "example.street": "示例：街上的四个人",
  "example.group": "示例：四人合影",
  "example.pair": "示例：公园里的两个人",
  private: "照片只在服务器内存中解析，不会保存。",
  token: "此服务器需要访问令牌",
  "token.send": "使用",
  "token.hint": "令牌只保存在本页内存中，离开即消失。",
  model: "模型",
  "mode.lite": "轻量",
  "mode.full": "完整",
  "mode.split": "对比",
  opacity: "叠加",
  divider: "两个叠加层之间的分隔线",
  photo: "叠加了部位的照片",
  photos: "你的照片",
  "photos.show": "显示第 {number} 张照片：{name}",
  "photos.clear": "全部移除",
  parts: "部位",
  "parts.hint": "指向某个部位可单独查看，按下可保持。",
  "parts.none": "这张照片中没有找到人。",
  entry: "{name}：占照片 {share}",
  "entry.score": "{name}：占照片 {share}，得分 {score}",
  part: "部位",
  share: "占比",
  score: "得分",
  agreement: "两个模型在 {share} 的像素上一致。",
  people: "人物",
  "people.none": "无。",
  "people.persons": "人物 {number}",
  "people.regions": "区域 {number}",
  "people.note": "此模型不区分不同的人。这里列出的是连通区域：相互接触的两个人算作一个。",
  download: "下载",
  "download.from": "下载{mode}模型的结果",
  "download.map": "部位图",
  "download.mosaic": "拼图",
  "download.json": "结果",
  timings: "这张照片的用时",
  "timings.compared": "速度是{mode}模型的 {factor} 倍",
  "timings.step": "步骤（毫秒）",
  "step.queue": "排队",
  "step.read": "读取照片",
  "step.place": "缩放",
  "step.network": "网络推理",
  "step.restore": "还原到照片尺寸",
  "step.people": "区分人物",
  "step.total": "合计",
  models: "模型信息",
  "models.one": "模型信息",
  "fact.title": "名称",
  "fact.precision": "精度",
  "fact.megabytes": "大小",
  "fact.engine": "推理引擎",
  "fact.arithmetic": "运算精度",
  "fact.input": "输入",
  "fact.labels": "标签集",
  "fact.people": "区分人物",
  "fact.teacher": "教师模型",
  "fact.licence": "权重许可",
  "fact.parts": "{name}，{count} 个部位",
  yes: "是",
  no: "否",
  unknown: "未说明",
  busy: "{mode}模型正在解析照片……",
  "busy.mosaic": "服务器正在绘制拼图……",
  "done.parts.other": "{count} 个部位",
  "done.persons.other": "{count} 个人",
  "done.regions.other": "{count} 个区域",
  "done.agreement": "{share} 像素一致",
  retry: "重试",
  "retry.after": "请在 {seconds} 秒后重试。",
  unreachable: "服务器没有响应。请检查网络连接后重试。",
  "too.large": "{name} 有 {megabytes} MB，而此服务器最多接受 {limit} MB。请选择更小的照片。",
  "camera.refused": "无法使用摄像头：它正被占用，或浏览器未获授权。",
  "camera.shoot": "拍照",
  cancel: "取消",
  footer: "m2fp-kd，Apache-2.0。权重另有许可，见上文。",
  api: "API",
  "error.no_photo": "请求中没有照片。",
  "error.photo_broken": "照片已损坏，或不是可识别的图片格式。",
  "error.photo_too_large": "照片文件过大。",
  "error.too_many_pixels": "照片的像素过多。",
  "error.too_many_photos": "照片数量过多。",
  "error.bad_request": "服务器无法理解此请求。",
  "error.unknown_mode": "此服务器没有这个模型。",
  "error.unauthorized": "令牌缺失或不正确。",
  "error.rate_limited": "请求过于频繁。",
  "error.busy": "服务器繁忙。",
  "error.deadline": "服务器未能及时完成。",
  "error.not_found": "未找到。",
  "error.method_not_allowed": "不允许的请求方法。",
  "error.internal": "服务器内部错误。",
};

export const LANGUAGES = { en: EN, zh: ZH };
const TAGS = { en: "en", zh: "zh-Hans" };

let language = "en";

/** The first of the browser's languages that the page speaks. */
export function preferredLanguage() {
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag in LANGUAGES) ?? "en";
}

/** Speak `chosen` ("en" or "zh") from now on. */
export function speak(chosen) {
  language = chosen;
  document.documentElement.lang = TAGS[chosen];
}

export const spoken = () => language;

/** The words for `key`, with {names} filled in from `values`; the key itself where there are none. */
export function say(key, values = {}) {
  const words = LANGUAGES[language][key] ?? key;
  return words.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Like `say`, for a counted thing: "1 part", "2 parts". */
export function sayCount(key, count) {
  const form = new Intl.PluralRules(language).select(count);
  return say(`${key}.${form}`, { count: number(count) });
}

export const knows = (key) => key in LANGUAGES[language];

/** A part's name in the page's language; the label set's own name where there is no other. */
export const partName = (name) => (language === "zh" && PARTS_ZH[name]) || name;

export const number = (value, digits = 0) =>
  value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** 0.1234 as "12.3 %". */
export const percent = (share) => `${number(100 * share, 1)} %`;

/** Three figures are enough for a time. */
export const milliseconds = (value) => number(value, value < 10 ? 1 : 0);
