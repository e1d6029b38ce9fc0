{{/* All values: defaults, under `global`, under what the user set at the top level. */}}
{{- define "ztunnel.values" -}}
{{- $defaults := deepCopy (index .Values "_internal_defaults_do_not_set") -}}
{{- $top := omit .Values "global" "_internal_defaults_do_not_set" -}}
{{- toYaml (mergeOverwrite $defaults (deepCopy (default dict .Values.global)) (deepCopy $top)) -}}
{{- end -}}

{{- define "ztunnel.name" -}}
{{- $v := include "ztunnel.values" . | fromYaml -}}
{{- $v.resourceName | default .Release.Name -}}
{{- end -}}

{{- define "ztunnel.image" -}}
{{- $v := include "ztunnel.values" . | fromYaml -}}
{{- if contains "/" $v.image -}}
{{- $v.image -}}
{{- else -}}
{{- $v.hub }}/{{ $v.image }}:{{ $v.tag | default .Chart.AppVersion }}{{ with $v.variant }}-{{ . }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "ztunnel.istiod" -}}
{{- $v := include "ztunnel.values" . | fromYaml -}}
istiod{{ if and $v.revision (ne $v.revision "default") }}-{{ $v.revision }}{{ end }}.{{ $v.istioNamespace }}.svc:15012
{{- end -}}

{{- define "ztunnel.labels" -}}
{{- $v := include "ztunnel.values" . | fromYaml -}}
app.kubernetes.io/name: ztunnel
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with $v.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
